"""What the residual stream holds while a model reads: recorded, kept, counted, gathered by several processes."""
