module theirs

go 1.26
