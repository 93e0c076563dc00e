"""What a site sets and what every part of the pack reads: settings, objectives, units, links."""
