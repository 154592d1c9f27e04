"""Control by fine-tuning (Tuan et al. 2024, arXiv 2404.01295), as a baseline: own answers, training, control."""
