from kubetasks import Project, namespace

ns = namespace(Project.of("hello", __file__, port=8000))
