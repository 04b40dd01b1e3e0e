"""Outside models: OpenAI-compatible servers, how they are asked, and how their keys are kept."""
