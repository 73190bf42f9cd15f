"""How a posterior is found: one file and one yaml of conf/method each."""
