"""What the product does: each module takes the rules and the edge to one end."""
