"""What `import gitexp` offers."""
