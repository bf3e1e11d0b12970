"""Fine-tuning: settings, targets, loss, the step (`engine`), the epochs (`trainer`), and the run folder."""
