"""What a server speaks and accepts, found out step by step."""
