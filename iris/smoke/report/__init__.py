"""What a run of the flow found, as JSON for programs, JUnit for build systems, and Markdown for people."""
