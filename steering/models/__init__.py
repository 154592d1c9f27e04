"""A model with its tokenizer: loading it, telling which one it is, finding its blocks, feeding it batches."""
