"""The four boards. A module or folder of each board holds its panels, in the order in which they appear."""
