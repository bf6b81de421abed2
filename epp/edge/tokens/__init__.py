"""Token ids of text prompts: from the pods, a render service, or a tokenizer.json."""
