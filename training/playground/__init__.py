"""Talking to models side by side: who is served, and what of it joins the prompt pool."""
