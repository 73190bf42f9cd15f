"""Dark-matter haloes: their growth, size, structure, concentration and spin."""
