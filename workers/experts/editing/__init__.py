"""What experts share that edit a picture by an instruction: what they say, and what is made of the answers."""
