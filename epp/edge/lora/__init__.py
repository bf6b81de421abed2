"""The LoRA adapter syncer: makes a model server serve the adapters that a file asks for."""
