"""The measured side: one fresh process measures one cell. Standard library, torch, diffusers and transformers only."""
