"""What runs models to judge them: evaluation, comparison, timings."""
