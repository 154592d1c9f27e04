"""What was found (steering vectors), what a user moves (sliders), and the file that holds them."""
