"""The four boards, one module each; a module says what is shown and in which order, nothing else."""
