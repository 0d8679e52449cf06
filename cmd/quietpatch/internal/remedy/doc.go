// Package remedy knows causes of interruptions: what each is, how to stop it, and where
// that can be read. It is a table, remedies.txt, whose head says how to add an entry.
//
// Place in the flow: the reports ask [Lookup] for each row they show. The package looks at
// nothing but the words of the row, and changes nothing.
package remedy
