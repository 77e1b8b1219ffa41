// The device's position, asked for once, rounded before anybody sees it (R14).

export type PositionFields = { position_lat_e7: string; position_lng_e7: string; position_accuracy_m: string };

export const NO_POSITION: PositionFields = {
  position_lat_e7: '',
  position_lng_e7: '',
  position_accuracy_m: '',
};

/** Metres: a thousandth of a degree, which tells one factory from the next and not one door from another. */
export const COARSE_M = 100;
const COARSE_E7 = 10_000;
/** A position that takes longer is not worth the battery. */
const LOOK_MS_MAX = 15_000;
/** One that was taken within a minute is the same place. */
const AGE_MS_MAX = 60_000;

export function isKept(fields: PositionFields): boolean {
  return fields.position_lat_e7 !== '' && fields.position_lng_e7 !== '';
}

/** Where the device is; none if it does not know, may not say, or takes too long. */
export function lookHere(): Promise<PositionFields | null> {
  if (!('geolocation' in navigator)) return Promise.resolve(null);
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) =>
        resolve({
          position_lat_e7: coarse(coords.latitude),
          position_lng_e7: coarse(coords.longitude),
          position_accuracy_m: String(Math.max(COARSE_M, Math.round(coords.accuracy))),
        }),
      () => resolve(null),
      { enableHighAccuracy: false, timeout: LOOK_MS_MAX, maximumAge: AGE_MS_MAX },
    );
  });
}

function coarse(degrees: number): string {
  return String(Math.round((degrees * 1e7) / COARSE_E7) * COARSE_E7);
}
