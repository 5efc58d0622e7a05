/** The acquisitions still known, newest first, and what each of them lost. */

import { Fragment } from "preact";
import { acquisitions } from "./state";
import type { Acquisition } from "./wire";
import { clock, count, duration, goal, leftOut, losses, nameOfFile } from "./words";

export function Acquisitions() {
  const list = acquisitions.value;
  return (
    <section class="card list" aria-labelledby="list-title">
      <h2 id="list-title">Acquisitions</h2>
      {list?.length ? (
        <table>
          <thead>
            <tr>
              <th scope="col">Begun</th>
              <th scope="col">File</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Written
              </th>
              <th scope="col">Loss</th>
              <th scope="col" class="number">
                Took
              </th>
            </tr>
          </thead>
          <tbody>
            {list.map((acquisition) => (
              <Fragment key={acquisition.id}>
                <Row acquisition={acquisition} />
                <Why acquisition={acquisition} />
              </Fragment>
            ))}
          </tbody>
        </table>
      ) : (
        <p class="hint">{list ? "None yet." : "Not known yet."}</p>
      )}
    </section>
  );
}

function Why({ acquisition: { error } }: { acquisition: Acquisition }) {
  if (!error) return null;
  return (
    <tr class="why">
      <td colSpan={6} data-label="Because">
        <div class="bad">{error}</div>
      </td>
    </tr>
  );
}

function Row({ acquisition }: { acquisition: Acquisition }) {
  const { file, state, counts, created_s, finished_s, error } = acquisition;
  const all = goal(acquisition);
  return (
    <tr class={error ? "explained" : undefined}>
      <td data-label="Begun">
        <div>{clock(created_s)}</div>
      </td>
      <td data-label="File" class="name" title={file ?? undefined}>
        <div>{file ? nameOfFile(file) : <span class="quiet">no file</span>}</div>
      </td>
      <td data-label="State">
        <div>
          <span class={`badge ${state}`}>{state}</span>
        </div>
      </td>
      <td data-label="Written" class="number">
        <div>
          {count(counts.written ?? 0)}
          {all !== null && <span class="quiet"> of {count(all)}</span>}
        </div>
      </td>
      <td data-label="Loss">
        <Loss acquisition={acquisition} />
      </td>
      <td data-label="Took" class="number">
        <div>{finished_s ? duration(finished_s - created_s) : "–"}</div>
      </td>
    </tr>
  );
}

function Loss({ acquisition }: { acquisition: Acquisition }) {
  const lost = losses(acquisition.counts);
  const others = leftOut(acquisition.counts);
  return (
    <div>
      {lost.length ? <b class="bad">{lost.join(", ")}</b> : <span class="good">none</span>}
      {others.length > 0 && <span class="quiet"> ({others.join(", ")})</span>}
    </div>
  );
}
