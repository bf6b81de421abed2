"""What the processes of one picker share: messages over socket pairs, memory, and accepted connections."""
