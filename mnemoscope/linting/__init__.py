"""What the lints of rules, boards and runbooks share."""
