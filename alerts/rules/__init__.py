"""Alert rules and recording rules, one module for each kind."""
