"""Everything that is drawn in more than one place: sheets of paper, panels, maps over photographs, and their words."""
