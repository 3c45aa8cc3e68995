"""What was spent, for people and scripts."""
