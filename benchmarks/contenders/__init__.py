"""What is compared: a module each, that is run once as a server and once as a client."""
