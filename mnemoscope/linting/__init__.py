"""Parts that the checks of rules, boards and runbooks share."""
