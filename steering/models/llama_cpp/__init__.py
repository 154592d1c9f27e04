"""Models that llama.cpp runs from GGUF files, read and moved at their blocks' outputs through its own callback."""
