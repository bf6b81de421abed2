"""A model server without a model: vLLM's HTTP surface over a simulated continuous-batching engine.

`engine.py` and what it imports are pure (time is an argument); `pod.py` runs one pod inside an asyncio loop.
"""
