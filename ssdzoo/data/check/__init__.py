"""What is wrong with a data set, before a training learns it."""
