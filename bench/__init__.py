"""What is measured on the sandbox, beyond what a test holds: commands, and the modules that tests share with them."""
