"""What one fit does: train behind gates, sample subnetworks, prune, eliminate features, fine-tune."""
