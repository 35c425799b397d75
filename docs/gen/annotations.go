package main

import (
	"bytes"
	"fmt"

	"github.com/hyperdapr/dapr/pkg/inject"
)

// annotationsPage is relative to the root of the project.
const annotationsPage = "docs/annotations.md"

const annotationsIntro = `<!-- Written by "make docs" from pkg/inject: change the table there. -->

# Annotations of a pod

The sidecar injector puts a sidecar into pods with the annotation
` + "`dapr.io/enabled: \"true\"`" + `, and reads the others below. They stand in the pod's
metadata: for a Deployment, in that of its template. All values are texts, so
numbers and ` + "`true`" + ` have quotes.

- A value that does not parse is ignored: the default holds, and the injector's log,
  the answer to ` + "`kubectl apply`" + ` of a pod and ` + "`dapr inject`" + ` name it with the fix.
- Without an ` + "`app-id`" + ` the pod's name is taken. One that cannot be the name of a
  service keeps the pod from being made.
- Where an old name is given, it means the same; today's name goes first.
- An empty default means that the sidecar, the chart or the cluster has its own.

` + "`dapr annotate`" + ` writes annotations into manifests, and ` + "`dapr inject`" + ` shows what
comes out.

| annotation | default | sidecar's flag or variable | meaning |
|---|---|---|---|
`

// annotations is the whole page.
func annotations() []byte {
	var b bytes.Buffer
	b.WriteString(annotationsIntro)
	for _, a := range inject.Annotations() {
		name := code(inject.Prefix + a.Name)
		if a.Legacy != "" {
			name += ", once " + code(inject.Prefix+a.Legacy)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, code(a.Default), code(a.Flag+a.Env), escape(a.About))
	}
	return b.Bytes()
}
