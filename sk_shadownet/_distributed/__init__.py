"""Data parallel training: processes that share the rows of every batch, on torch.distributed."""
