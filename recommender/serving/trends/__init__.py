"""What is popular lately: interaction counts in time, leaderboards, trending items."""
