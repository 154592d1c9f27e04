"""What a hook does to the residual stream: pure functions of tensors, one a file."""
