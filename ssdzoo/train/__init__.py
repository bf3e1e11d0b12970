"""Fine-tuning: settings, the epochs (`trainer`), the run folder, and the step in each framework (`mxnet`, `torch`)."""
