"""What a model would write first, or thinks of given answers: no text is generated and no judge asked."""
