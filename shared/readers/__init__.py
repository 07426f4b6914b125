"""Where items come from: one module for each kind of input."""
