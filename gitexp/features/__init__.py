"""What users ask for. Each part uses the parts before it in the order of rooms only."""
