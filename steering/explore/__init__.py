"""Looking at a model while its sliders move: what the notebook's widget and the web page share."""
