"""Parts that the lints of rules, boards and runbook pages share."""
