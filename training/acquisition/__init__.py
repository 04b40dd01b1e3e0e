"""What is asked first: replies are scored, and the comparisons that teach most are chosen."""
