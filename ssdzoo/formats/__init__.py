"""Files of other people, read without any framework."""
