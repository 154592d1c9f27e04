"""Chats and contrast sets: texts, before any tokenizer has seen them."""
