"""What the rules of curation find and what they cost, on problems whose duplicates and leaks are known."""
